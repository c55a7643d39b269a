"""The protocol: how requests and replies are spelled, signed and sent. Pure, but for the transport and the proxy."""
