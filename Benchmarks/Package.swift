// swift-tools-version: 6.2
import PackageDescription

// A package of its own, so that nobody who uses the libraries builds it.
let package = Package(
    name: "benchmarks",
    dependencies: [
        .package(name: "swift-interrupt-agent", path: ".."),
        .package(url: "https://github.com/HdrHistogram/hdrhistogram-swift", from: "0.2.0"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/swiftlang/swift-subprocess", from: "1.0.2", traits: []),
        .package(url: "https://github.com/apple/swift-system", from: "1.8.1"),
    ],
    targets: [
        .executableTarget(
            name: "bench",
            dependencies: [
                .product(name: "Histogram", package: "hdrhistogram-swift"),
                .product(name: "InterruptCore", package: "swift-interrupt-agent"),
                .product(name: "InterruptRedis", package: "swift-interrupt-agent"),
                .product(name: "InterruptTesting", package: "swift-interrupt-agent"),
                .product(name: "InterruptWorker", package: "swift-interrupt-agent"),
                .product(name: "interrupt-launch", package: "swift-interrupt-agent"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "Subprocess", package: "swift-subprocess"),
                .product(name: "SystemPackage", package: "swift-system"),
            ]
        )
    ]
)
