import InterruptCore

/// What a YAML file says: texts, lists and named entries, each with its place for messages.
struct YAMLNode: Equatable {
    enum Content: Equatable {
        case text(String, isPlain: Bool)
        case list([YAMLNode])
        case entries([Entry])
    }

    /// One `name: value` of a file.
    struct Entry: Equatable {
        var name: String
        var value: YAMLNode
        /// Where the name stands: file, line and column.
        var place: String
    }

    /// How deep lists and entries may lie in each other: far deeper than anything that is read here.
    static let maximumDepth = 16

    var content: Content
    /// File, line and column.
    var place: String

    /// The text of a value; `nil` for a list and for entries.
    var text: String? {
        guard case .text(let text, _) = content else { return nil }
        return text
    }

    /// The items of a list; `nil` for anything else.
    var list: [YAMLNode]? {
        guard case .list(let items) = content else { return nil }
        return items
    }

    /// The texts of a list, or the one text; `nil` for anything else.
    var texts: [String]? {
        let texts = (list ?? [self]).map(\.text)
        return texts.contains(nil) ? nil : texts.compactMap(\.self)
    }

    /// The entries; anything else is an error.
    func entries() throws(InvalidSetting) -> [Entry] {
        guard case .entries(let entries) = content else {
            throw InvalidSetting("\(place): expected 'name: value' lines")
        }
        return entries
    }

    /// The entries of a YAML text; none of an empty one.
    ///
    /// - Throws: ``InvalidSetting`` with file, line and column.
    static func entries(of yaml: String, file: String) throws(InvalidSetting) -> [Entry] {
        var composer = YAMLComposer(events: YAMLEvents(yaml), file: file)
        guard let root = try composer.document(), !root.isNull else { return [] }
        return try root.entries()
    }

    /// Whether nothing is said.
    private var isNull: Bool {
        guard case .text(let text, isPlain: true) = content else { return false }
        return ["", "~", "null", "Null", "NULL"].contains(text)
    }
}

/// Puts the events of one document together.
private struct YAMLComposer: ~Copyable {
    private var events: YAMLEvents
    private let file: String

    init(events: consuming YAMLEvents, file: String) {
        self.events = events
        self.file = file
    }

    /// The one document of the text; `nil` when there is none.
    mutating func document() throws(InvalidSetting) -> YAMLNode? {
        guard try next().event == .documentStart else { return nil }
        let (event, place) = try next()
        let root = try node(event, place, depth: 0)
        _ = try next()  // its end
        let (following, second) = try next()
        guard following == .end else { throw problem(second, "a second document: a file has one") }
        return root
    }

    private mutating func node(
        _ event: YAMLEvents.Event,
        _ place: YAMLEvents.Place,
        depth: Int
    ) throws(InvalidSetting) -> YAMLNode {
        guard depth < YAMLNode.maximumDepth else {
            throw problem(place, "values lie in each other more than \(YAMLNode.maximumDepth) deep")
        }
        let content: YAMLNode.Content =
            switch event {
            case .text(let text, let isPlain): .text(text, isPlain: isPlain)
            case .listStart: .list(try items(depth: depth + 1))
            case .entriesStart: .entries(try entries(depth: depth + 1))
            // libyaml has balanced them: they come only where the two functions below read them.
            case .listEnd, .entriesEnd, .documentStart, .documentEnd, .end: .text("", isPlain: true)
            }
        return YAMLNode(content: content, place: shown(place))
    }

    private mutating func items(depth: Int) throws(InvalidSetting) -> [YAMLNode] {
        var items: [YAMLNode] = []
        while true {
            let (event, place) = try next()
            if event == .listEnd { return items }
            items.append(try node(event, place, depth: depth))
        }
    }

    private mutating func entries(depth: Int) throws(InvalidSetting) -> [YAMLNode.Entry] {
        var entries: [YAMLNode.Entry] = []
        var names: Set<String> = []
        while true {
            let (event, place) = try next()
            if event == .entriesEnd { return entries }
            guard case .text(let name, let isPlain) = event else { throw problem(place, "a name is one text") }
            if isPlain, name == "<<" {
                throw problem(place, "merge keys ('<<') are not read here: write the entries out")
            }
            guard names.insert(name).inserted else {
                throw problem(place, "'\(name.escapedForDisplay(limit: 40))' is given more than once")
            }
            let (value, valuePlace) = try next()
            let node = try node(value, valuePlace, depth: depth)
            entries.append(YAMLNode.Entry(name: name, value: node, place: shown(place)))
        }
    }

    private mutating func next() throws(InvalidSetting) -> (event: YAMLEvents.Event, place: YAMLEvents.Place) {
        do throws(YAMLEvents.Problem) {
            return try events.next()
        } catch {
            throw problem(error.place, error.text.escapedForDisplay(limit: 200))
        }
    }

    private func problem(_ place: YAMLEvents.Place, _ text: String) -> InvalidSetting {
        InvalidSetting("\(shown(place)): \(text)")
    }

    private func shown(_ place: YAMLEvents.Place) -> String { "\(file):\(place.line):\(place.column)" }
}
