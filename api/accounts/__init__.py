"""Accounts: how a person proves who they are, what a token is good for, and the record of what was done to both."""
