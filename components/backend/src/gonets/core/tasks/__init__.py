"""Tasks: a phone number, an e-mail address or a text is handed in, a provider is asked, the answer is kept and told."""
