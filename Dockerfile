# syntax=docker/dockerfile:1

# Bookworm, because its glibc is that of the final stage.
FROM rust:1.95.0-slim-bookworm AS build
WORKDIR /src
ENV SQLX_OFFLINE=true
COPY . .
# Cargo keeps what it fetched and built in caches of BuildKit: a change of our sources rebuilds no dependency, and no
# other tool has to be installed and pinned for that. Our sources are touched because the cache may be another clone's,
# and cargo takes what is older than its last build for unchanged.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target,sharing=locked \
    find . -path ./target -prune -o -type f -exec touch {} + \
    && cargo build --release --locked --bin waypost \
    && cp target/release/waypost /usr/local/bin/waypost
# A new volume takes its owner from the folder that it is mounted at.
RUN mkdir -p /var/lib/waypost/keys/auth /var/lib/waypost/keys/mailer /var/lib/waypost/keys/mailer-public

# No shell, no package manager; it has certificates and the C library.
FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /usr/local/bin/waypost /usr/local/bin/waypost
COPY --from=build --chown=nonroot:nonroot /var/lib/waypost /var/lib/waypost
USER nonroot
ENTRYPOINT ["/usr/local/bin/waypost"]
# No HEALTHCHECK: every service and task runs from this image, and compose.yaml says which of them is asked what, by
# `waypost healthcheck`.
