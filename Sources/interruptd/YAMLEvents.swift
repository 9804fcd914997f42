import CLibYAML

/// A YAML text as libyaml reads it: one event after the other, each with its place. What this program does not read is an
/// error here: anchors, aliases and tags.
///
/// Unsafe here: libyaml's parser is a C structure that has to stay where it is and reads the text through a pointer. Both
/// are allocated in `init`, freed in `deinit`, and seen by nobody else.
struct YAMLEvents: ~Copyable {
    enum Event: Equatable {
        /// A value or a name. A plain one has no quotes around it.
        case text(String, isPlain: Bool)
        case listStart, listEnd
        case entriesStart, entriesEnd
        case documentStart, documentEnd
        /// Nothing follows.
        case end
    }

    /// Line and column, counted from 1.
    struct Place: Equatable {
        var line: Int
        var column: Int

        init(line: Int, column: Int) {
            self.line = line
            self.column = column
        }

        fileprivate init(_ mark: yaml_mark_t) {
            self.init(line: mark.line + 1, column: mark.column + 1)
        }
    }

    struct Problem: Error, Equatable {
        var place: Place
        var text: String
    }

    private let text: UnsafeMutableBufferPointer<UInt8>
    private let parser: UnsafeMutablePointer<yaml_parser_t>
    private let event: UnsafeMutablePointer<yaml_event_t>

    init(_ yaml: String) {
        let utf8 = Array(yaml.utf8)
        text = .allocate(capacity: utf8.count)
        _ = text.initialize(from: utf8)
        event = .allocate(capacity: 1)
        parser = .allocate(capacity: 1)
        // It fails only without memory, and then nothing of ours goes on either.
        precondition(yaml_parser_initialize(parser) == 1, "libyaml cannot be used")
        yaml_parser_set_input_string(parser, text.baseAddress, text.count)
    }

    deinit {
        yaml_parser_delete(parser)
        parser.deallocate()
        event.deallocate()
        text.deallocate()
    }

    /// The next event. Not to be called again after ``Event/end`` or an error.
    mutating func next() throws(Problem) -> (event: Event, place: Place) {
        while true {
            guard yaml_parser_parse(parser, event) == 1 else { throw problem }
            defer { yaml_event_delete(event) }
            let place = Place(event.pointee.start_mark)
            if let event = try translated(place) { return (event, place) }
        }
    }

    /// `nil` for the event that says nothing.
    private func translated(_ place: Place) throws(Problem) -> Event? {
        switch event.pointee.type {
        case YAML_STREAM_START_EVENT: return nil
        case YAML_DOCUMENT_START_EVENT: return .documentStart
        case YAML_DOCUMENT_END_EVENT: return .documentEnd
        case YAML_SCALAR_EVENT:
            let scalar = event.pointee.data.scalar
            try refuse(anchor: scalar.anchor, tag: scalar.tag, place)
            let bytes = UnsafeBufferPointer(start: scalar.value, count: scalar.length)
            return .text(String(decoding: bytes, as: UTF8.self), isPlain: scalar.style == YAML_PLAIN_SCALAR_STYLE)
        case YAML_SEQUENCE_START_EVENT:
            let start = event.pointee.data.sequence_start
            try refuse(anchor: start.anchor, tag: start.tag, place)
            return .listStart
        case YAML_SEQUENCE_END_EVENT: return .listEnd
        case YAML_MAPPING_START_EVENT:
            let start = event.pointee.data.mapping_start
            try refuse(anchor: start.anchor, tag: start.tag, place)
            return .entriesStart
        case YAML_MAPPING_END_EVENT: return .entriesEnd
        case YAML_ALIAS_EVENT:
            throw Problem(place: place, text: "aliases ('*name') are not read here: write the value out")
        default: return .end
        }
    }

    private func refuse(
        anchor: UnsafeMutablePointer<UInt8>?,
        tag: UnsafeMutablePointer<UInt8>?,
        _ place: Place
    ) throws(Problem) {
        if anchor != nil { throw Problem(place: place, text: "anchors ('&name') are not read here: leave it out") }
        if tag != nil { throw Problem(place: place, text: "tags ('!name') are not read here: leave it out") }
    }

    /// What libyaml says. Of bytes that are not allowed it gives the offset, of all else the place.
    private var problem: Problem {
        let what = parser.pointee.problem.map { String(cString: $0) } ?? "it cannot be read"
        guard parser.pointee.error == YAML_READER_ERROR else {
            return Problem(place: Place(parser.pointee.problem_mark), text: "not YAML: \(what)")
        }
        let before = text.prefix(parser.pointee.problem_offset)
        let lineStart = before.lastIndex(of: UInt8(ascii: "\n")).map { $0 + 1 } ?? 0
        let line = before.count { $0 == UInt8(ascii: "\n") } + 1
        return Problem(place: Place(line: line, column: before.count - lineStart + 1), text: "not YAML: \(what)")
    }
}
