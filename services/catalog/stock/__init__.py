"""What everybody shares and only so much is there of: stock by batch, quotas and budget lines (K7)."""
