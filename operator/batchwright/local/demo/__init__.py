"""The demo's parts: a word count over real texts, in real containers, with its data in S3.

`wordcount` has the three programs and their manifests; the other modules make the images, put the texts into S3,
render the manifests, and check the result. `batchwright.cli.demo` puts them together and shows them at work.
"""
