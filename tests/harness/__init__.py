"""What the behaviour tests stand on: certificates, a scripted origin server, the gateway, clients, a reader of recordings.

Nothing here knows how Countersign is made: it starts the real programs on loopback and speaks the published formats.
"""
