"""Where the application runs: `local` is this machine."""
