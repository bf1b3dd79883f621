"""Who signs: algorithms, keys, signatures, seals, key store, Merkle proofs and checkpoints; pure but for key files."""
