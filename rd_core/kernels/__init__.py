"""How single layers are computed; knows no network."""
