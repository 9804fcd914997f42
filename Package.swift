// swift-tools-version: 6.2
import PackageDescription

let strict: [SwiftSetting] = [
    .swiftLanguageMode(.v6),
    .treatAllWarnings(as: .error),
    .enableUpcomingFeature("ExistentialAny"),  // SE-0335
    .enableUpcomingFeature("InternalImportsByDefault"),  // SE-0409
    // SE-0444. Not in release builds: with a static standard library the compiler looks for the initializers of C
    // structs in a module that cannot be imported.
    .enableUpcomingFeature("MemberImportVisibility", .when(configuration: .debug)),
    .enableUpcomingFeature("NonisolatedNonsendingByDefault"),  // SE-0461
]

let c: [CSetting] = [
    .define("_GNU_SOURCE"), .enableWarning("all"), .enableWarning("extra"),
    .disableWarning("missing-field-initializers"), .treatAllWarnings(as: .error),
]

/// What every test with a server or a child process uses.
let testing: [Target.Dependency] = [
    "InterruptCore",
    "InterruptTesting",
    .product(name: "Logging", package: "swift-log"),
    .product(name: "Subprocess", package: "swift-subprocess"),
    .product(name: "SystemPackage", package: "swift-system"),
]

/// An example of one file: `swift run direct`. The same in other languages may stand beside it.
func example(_ name: String, _ dependencies: Target.Dependency..., beside others: [String] = []) -> Target {
    .executableTarget(
        name: name,
        dependencies: ["InterruptCore"] + dependencies,
        path: "Examples/\(name)",
        exclude: others,
        swiftSettings: strict
    )
}

let package = Package(
    name: "swift-interrupt-agent",
    products: [
        .library(name: "InterruptCore", targets: ["InterruptCore"]),
        .library(name: "InterruptRedis", targets: ["InterruptRedis"]),
        .library(name: "InterruptSources", targets: ["InterruptSources"]),
        .library(name: "InterruptWorker", targets: ["InterruptWorker"]),
        .library(name: "InterruptTesting", targets: ["InterruptTesting"]),
        .executable(name: "interruptd", targets: ["interruptd"]),
        .executable(name: "interruptctl", targets: ["interruptctl"]),
        .executable(name: "interrupt-launch", targets: ["interrupt-launch"]),
    ],
    dependencies: [
        .package(url: "https://github.com/apple/swift-argument-parser", from: "1.8.2"),
        .package(url: "https://github.com/apple/swift-collections", from: "1.6.0"),
        .package(url: "https://github.com/apple/swift-log", from: "1.16.2"),
        .package(url: "https://github.com/apple/swift-nio", from: "2.101.2"),
        .package(url: "https://github.com/apple/swift-nio-ssl", from: "2.37.6"),
        .package(url: "https://github.com/apple/swift-system", from: "1.8.1"),
        .package(url: "https://github.com/groue/GRDB.swift", from: "7.10.0"),
        .package(url: "https://github.com/swift-server/async-http-client", from: "1.37.0"),
        .package(url: "https://github.com/swiftlang/swift-docc-plugin", from: "1.5.0"),
        .package(url: "https://github.com/swiftlang/swift-subprocess", from: "1.0.2", traits: []),
    ],
    targets: [
        .systemLibrary(name: "CEpoll"),
        .systemLibrary(name: "CHiredis", providers: [.apt(["libhiredis-dev"])]),
        .systemLibrary(name: "CLibYAML", providers: [.apt(["libyaml-dev"])]),
        .systemLibrary(name: "CSodium", providers: [.apt(["libsodium-dev"])]),
        .target(
            name: "InterruptCore",
            dependencies: [.product(name: "HeapModule", package: "swift-collections")],
            swiftSettings: strict
        ),
        .target(name: "InterruptJSON", dependencies: ["InterruptCore"], swiftSettings: strict),
        .target(
            name: "InterruptRedis",
            dependencies: [
                "CHiredis",
                "CSodium",
                "InterruptCore",
                "InterruptJSON",
                .product(name: "DequeModule", package: "swift-collections"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "NIOSSL", package: "swift-nio-ssl"),
            ],
            swiftSettings: strict
        ),
        .target(
            name: "InterruptSources",
            dependencies: [
                "InterruptCore",
                "InterruptJSON",
                .product(name: "AsyncHTTPClient", package: "async-http-client"),
                .product(name: "GRDB", package: "GRDB.swift"),
                .product(name: "GRDBSQLite", package: "GRDB.swift"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
            ],
            swiftSettings: strict
        ),
        .target(
            name: "InterruptWorker",
            dependencies: [
                "CEpoll",
                "CLaunch",
                "InterruptCore",
                "InterruptJSON",
                .product(name: "DequeModule", package: "swift-collections"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "Subprocess", package: "swift-subprocess"),
                .product(name: "SystemPackage", package: "swift-system"),
            ],
            swiftSettings: strict
        ),
        .target(
            name: "InterruptTesting",
            dependencies: [
                "InterruptCore",
                "InterruptRedis",
                .product(name: "DequeModule", package: "swift-collections"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
                .product(name: "Subprocess", package: "swift-subprocess"),
                .product(name: "SystemPackage", package: "swift-system"),
            ],
            swiftSettings: strict
        ),
        .executableTarget(
            name: "interruptd",
            dependencies: [
                "CLibYAML",
                "CMemory",
                "InterruptCore",
                "InterruptRedis",
                "InterruptWorker",
                "interrupt-launch",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Logging", package: "swift-log"),
                .product(name: "Subprocess", package: "swift-subprocess"),
                .product(name: "SystemPackage", package: "swift-system"),
            ],
            swiftSettings: strict,
            // Nothing loads the program's symbols: not exporting them saves 2 MB of resident memory.
            linkerSettings: [.unsafeFlags(["-Xlinker", "--no-export-dynamic"], .when(configuration: .release))]
        ),
        .target(name: "CLaunch", cSettings: c),
        .target(name: "CMemory", cSettings: c),
        // C, because it forks and because every run may have a copy of it.
        .executableTarget(
            name: "interrupt-launch",
            dependencies: ["CLaunch"],
            cSettings: c,
            // Nothing of Swift is in it: without its libraries a fork takes less than half the time.
            linkerSettings: [
                .unsafeFlags(["-static-executable", "-nostartfiles"], .when(configuration: .release))
            ]
        ),
        .executableTarget(
            name: "interruptctl",
            dependencies: [
                "InterruptCore",
                "InterruptRedis",
                .product(name: "ArgumentParser", package: "swift-argument-parser"),
                .product(name: "Logging", package: "swift-log"),
            ],
            swiftSettings: strict
        ),
        .executableTarget(
            name: "embedded-worker",
            dependencies: [
                "InterruptCore",
                "InterruptRedis",
                "InterruptWorker",
                "interrupt-launch",
                .product(name: "Logging", package: "swift-log"),
                .product(name: "SystemPackage", package: "swift-system"),
            ],
            path: "Examples/embedded-worker",
            swiftSettings: strict
        ),
        example("cleanup"),
        example("combined", "InterruptSources"),
        example("detailed-json", "InterruptSources"),
        example("direct"),
        example("file-source", "InterruptSources"),
        example("in-memory-store"),
        example("partial-results"),
        example("run-directory", beside: ["job.py", "job.sh"]),
        example("time-limit"),
        .testTarget(name: "InterruptCoreTests", dependencies: ["InterruptCore"], swiftSettings: strict),
        .testTarget(
            name: "InterruptJSONTests",
            dependencies: ["InterruptCore", "InterruptJSON"],
            swiftSettings: strict
        ),
        .testTarget(
            name: "InterruptRedisTests",
            dependencies: ["InterruptJSON", "InterruptRedis"] + testing,
            swiftSettings: strict
        ),
        .testTarget(
            name: "InterruptSourcesTests",
            dependencies: [
                "InterruptSources",
                .product(name: "GRDB", package: "GRDB.swift"),
                .product(name: "NIOCore", package: "swift-nio"),
                .product(name: "NIOHTTP1", package: "swift-nio"),
                .product(name: "NIOPosix", package: "swift-nio"),
            ] + testing,
            swiftSettings: strict
        ),
        .testTarget(
            name: "InterruptWorkerTests",
            dependencies: ["InterruptWorker", "interrupt-launch"] + testing,
            swiftSettings: strict
        ),
        .testTarget(
            name: "InterruptdTests",
            dependencies: ["InterruptRedis", "InterruptWorker", "interrupt-launch", "interruptd"] + testing,
            swiftSettings: strict
        ),
        .testTarget(
            name: "InterruptCtlTests",
            dependencies: ["InterruptJSON", "InterruptRedis", "interrupt-launch", "interruptctl"] + testing,
            swiftSettings: strict
        ),
        .testTarget(
            name: "FuzzTests",
            dependencies: [
                "InterruptJSON", "InterruptRedis", "InterruptWorker", "interrupt-launch", "interruptctl", "interruptd",
                .product(name: "NIOCore", package: "swift-nio"),
            ] + testing,
            swiftSettings: strict
        ),
        .testTarget(
            name: "SimulationTests",
            dependencies: ["InterruptCore", "InterruptJSON", "InterruptRedis", "InterruptTesting", "InterruptWorker"],
            swiftSettings: strict
        ),
        .testTarget(
            name: "EndToEndTests",
            dependencies: [
                "InterruptRedis", "embedded-worker", "interrupt-launch", "interruptctl", "interruptd",
            ] + testing,
            swiftSettings: strict
        ),
        // What must hold whatever breaks; a longer run with random faults is Scripts/chaos.
        .testTarget(
            name: "FaultTests",
            dependencies: ["InterruptRedis", "interrupt-launch", "interruptctl", "interruptd"] + testing,
            swiftSettings: strict
        ),
    ]
)

// `Scripts/fuzz` builds with a sanitizer, which takes minutes: only what it runs then.
if Context.environment["INTERRUPT_FUZZ"] != nil {
    package.targets.removeAll { $0.type == .test && $0.name != "FuzzTests" }
}
