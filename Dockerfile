# The programs in one small image. Build: docker build -t interrupt .
FROM swift:6.2-bookworm AS build
RUN apt-get update -qq && apt-get install -y -qq --no-install-recommends libhiredis-dev libsodium-dev libyaml-dev \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
COPY Package.swift ./
COPY Sources Sources
COPY Tests Tests
COPY Examples Examples
RUN swift build -c release --static-swift-stdlib --product interruptd \
    && swift build -c release --static-swift-stdlib --product interruptctl \
    && install -D -t /out "$(swift build -c release --show-bin-path)/interruptd" \
        "$(swift build -c release --show-bin-path)/interrupt-launch" \
        "$(swift build -c release --show-bin-path)/interruptctl"

FROM debian:bookworm-slim
RUN apt-get update -qq \
    && apt-get install -y -qq --no-install-recommends libhiredis0.14 libsodium23 libyaml-0-2 ca-certificates redis-server tini \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --create-home --shell /usr/sbin/nologin interrupt \
    && install -d -o interrupt -g interrupt -m 0700 /var/lib/interrupt
COPY --from=build /out/ /usr/local/bin/
# A daemon that crashes is to be gone at once, and with it its jobs: not to stay while a report is written.
ENV SWIFT_BACKTRACE=enable=no
USER interrupt
VOLUME /var/lib/interrupt
# SIGTERM drains and then ends what is left within the grace period.
STOPSIGNAL SIGTERM
# What outlives its parent becomes a child of the first process, which has to wait for it: tini does, interruptd does not.
ENTRYPOINT ["tini", "--", "interruptd", "--state-dir", "/var/lib/interrupt"]
