"""The demo's parts: a word count over real texts, in real containers, and a pipeline of arrays on simulated machines.

`wordcount` has the three programs of the first act and their manifests; `images`, `inputs`, `storage`, `manifests` and
`check` make the images, put the texts into S3, render the manifests, and check the result. `pipeline` and `machines`
are the second act's jobs and nodes, `witness` what an observer saw of them, `apiwrites` what they cost.
`batchwright.cli.demo` puts them together and shows them at work.
"""
