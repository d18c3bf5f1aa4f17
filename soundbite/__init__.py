"""The deployment workflow of SoundBite: everything that `inv` does, usable without Invoke."""
