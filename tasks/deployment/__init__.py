"""From a bundle to what serves: the registry, the canary, promotion or rollback."""
