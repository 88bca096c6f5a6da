"""The word count itself: three programs, one image each, that know S3 and nothing of Kubernetes.

Each file is a whole program, copied alone into its image, and imports boto3 and the standard library only. The address
and the keys of S3 come from the environment, as for any AWS SDK.

In the bucket, below the prefix of the run:

    input/…          the texts
    parts/N.json     which texts worker N counts              split.py
    counts/N.json    what worker N counted                    count.py
    words.json       every word with its count                merge.py
    report.json      the totals and the top words             merge.py
"""
