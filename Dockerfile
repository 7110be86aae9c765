# Concord in one image; the role is an argument: `concord run --role ingest`, `concord simulator`, …
FROM rust:1.95-bookworm AS build
WORKDIR /src
COPY . .
RUN cargo build --release -p app

FROM debian:bookworm-slim
RUN apt-get update && apt-get install -y --no-install-recommends ca-certificates zlib1g && rm -rf /var/lib/apt/lists/* \
    && useradd --system --create-home --home-dir /var/lib/concord concord
COPY --from=build /src/target/release/concord /usr/local/bin/concord
USER concord
WORKDIR /var/lib/concord
EXPOSE 4710
ENTRYPOINT ["concord"]
CMD ["run"]
