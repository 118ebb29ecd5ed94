"""The closed loop, asserted from outside."""
