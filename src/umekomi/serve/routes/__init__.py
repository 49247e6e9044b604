"""One module per family of routes: decode, call one thing, encode."""
