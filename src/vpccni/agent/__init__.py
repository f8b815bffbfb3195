"""The agent: the one owner of the node's state; one asyncio process."""
