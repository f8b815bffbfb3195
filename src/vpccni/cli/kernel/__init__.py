"""The kernel's links, addresses, policy rules and routes as they are, strangers' too, and which way it would choose by them."""
