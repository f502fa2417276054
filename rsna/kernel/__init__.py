"""What a notebook needs before anything is installed. Standard library only.

`bootstrap` stands, as text, in the first cell of every notebook; the other modules come out of the code it finds.
"""
