# What every stage of the word count has: Debian's Python, and boto3 with the data of S3 alone.
ARG BASE_IMAGE
FROM $BASE_IMAGE
COPY site/ /opt/site/
# By hash, unchecked: image layers carry no modification times, by which Python would otherwise judge its bytecode.
RUN python3 -m compileall -q -f --invalidation-mode unchecked-hash /opt/site
ENV PYTHONPATH=/opt/site PYTHONUNBUFFERED=1
