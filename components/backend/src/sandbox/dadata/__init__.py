"""Dadata's clean API (phone, e-mail) and its balance."""
