# What every stage of the word count has: Debian's Python, and boto3 with the data of S3 alone.
ARG BASE_IMAGE
FROM $BASE_IMAGE
COPY site/ /opt/site/
# By hash, unchecked: image layers carry no modification times, by which Python would otherwise judge its bytecode,
# and a container that compiles the library at each start takes seconds longer.
RUN python3 -m compileall -q -f --invalidation-mode unchecked-hash /usr/lib/python3.* /opt/site
ENV PYTHONPATH=/opt/site PYTHONUNBUFFERED=1
