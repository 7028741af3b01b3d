"""The desk over REST: thin endpoints, each of which calls one service or selector."""
