"""The tools that Dify shows; each reads its parameters, calls MemOS and yields what comes back."""
