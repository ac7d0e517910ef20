"""The app: methods are tried, runs are opened and begun, and people vote, in a browser (`noisekit app`)."""
