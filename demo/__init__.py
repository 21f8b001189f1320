"""The browser demo; `lite-medsam demo` loads this folder from a checkout or from an installed package."""
