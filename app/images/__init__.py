"""Untrusted image files to what the image tower takes.

    workers -> worker_process -> prepare -> decode: identify -> readers: header, then samples as stored -> colours

`workers` runs in the service, and everything after it in processes whose memory and time are limited.
"""
