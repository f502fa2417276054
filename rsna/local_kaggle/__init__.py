"""A Kaggle on this machine: it speaks the protocol of the unmodified `kaggle` client, and fails where Kaggle fails.

It shares no code with the client or with `rsna.kaggle`: an emulator that did would prove nothing.
"""
