"""Parts of the pages that `sampling bench` and `sampling report` write.

A page is one HTML file that needs no other and fetches nothing. What was given (names, texts) is
escaped by the function that makes markup of it: all arguments that are not named `body`, `cells` or
`rows` are plain text.
"""
