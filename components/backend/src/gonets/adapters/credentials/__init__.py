"""Passwords as Argon2 hashes, access tokens as signed JSON."""
