import InterruptCore

/// A command that can be submitted by its name, and what may vary in it.
struct NamedJob: Equatable, Sendable {
    let command: [JobTemplate]
    let parameters: [String: JobParameter]
    /// Where it runs; `nil` is the worker's own directory, never the submitter's.
    let directory: String?
    let environment: [String: JobTemplate]
    /// The variables that a submission may set.
    let allowedVariables: Set<String>
    /// Empty is none.
    let onInterrupt: [JobTemplate]
    let onEnd: [JobTemplate]
    let hookLimit: Duration

    /// The order as it is carried out.
    ///
    /// - Parameter words: the name of the job, then `parameter=value` for each.
    /// - Throws: ``JobRefusal`` as the end of a sentence that begins with the job's name.
    func resolve(_ words: [[UInt8]], in submitted: RunOrder) throws(JobRefusal) -> RunOrder {
        let variables = submitted.environment
        let values = try arguments(given(words.dropFirst()))
        if let name = variables.keys.sorted().first(where: { !allowedVariables.contains($0) }) {
            let allowed = allowedVariables.isEmpty ? "none" : allowedVariables.sorted().joinedForDisplay()
            throw JobRefusal("the variable '\(name.escapedForDisplay(limit: 60))' is not allowed, but \(allowed)")
        }
        let own = environment.compactMapValues { $0.filled(values).map { Array($0.utf8) } }
        func filled(_ words: [JobTemplate]) -> [[UInt8]] {
            words.compactMap { $0.filled(values) }.map { Array($0.utf8) }
        }
        var order = submitted
        order.work = .command(filled(command))
        order.directory = directory
        order.environment = variables.merging(own) { _, own in own }
        order.hooks = RunHooks(limit: hookLimit)
        if !onInterrupt.isEmpty { order.hooks.onInterrupt = .program(filled(onInterrupt)) }
        if !onEnd.isEmpty { order.hooks.onEnd = .program(filled(onEnd)) }
        return order
    }

    /// The values by parameter, as they were given.
    private func given(_ words: some Sequence<[UInt8]>) throws(JobRefusal) -> [String: String] {
        var given: [String: String] = [:]
        for word in words {
            guard let text = String(validating: word, as: UTF8.self) else {
                let shown = String(decoding: word.prefix(200), as: UTF8.self).escapedForDisplay(limit: 60)
                throw JobRefusal("'\(shown)' is not UTF-8 text")
            }
            let name = String(text.prefix { $0 != "=" })
            let shown = name.escapedForDisplay(limit: 60)
            guard let parameter = parameters[name] else {
                let known = parameters.isEmpty ? "it has none" : "it has \(parameters.keys.sorted().joinedForDisplay())"
                throw JobRefusal("no parameter '\(shown)': \(known)")
            }
            let hasValue = name.utf8.count < text.utf8.count
            guard hasValue || parameter.isFlag else { throw JobRefusal("\(shown) needs a value: \(shown)=VALUE") }
            let value = hasValue ? String(text.dropFirst(name.count + 1)) : "true"
            guard given.updateValue(value, forKey: name) == nil else {
                throw JobRefusal("\(shown) is given more than once")
            }
        }
        return given
    }

    /// What the command gets for each parameter; those that stand for nothing are left out.
    private func arguments(_ given: [String: String]) throws(JobRefusal) -> [String: String] {
        var arguments: [String: String] = [:]
        for (name, parameter) in parameters.sorted(by: { $0.key < $1.key }) {
            guard let value = given[name] ?? parameter.defaultValue else { throw JobRefusal("\(name) is missing") }
            do throws(JobRefusal) {
                arguments[name] = try parameter.argument(for: value)
            } catch {
                throw JobRefusal("\(name) \(error.text)")
            }
        }
        return arguments
    }
}

extension NamedJob {
    /// - Throws: ``InvalidSetting`` with file, line and column.
    init(_ entry: YAMLNode.Entry) throws(InvalidSetting) {
        let subject = "job \(entry.name)"
        var fields = YAMLFields(of: subject, try entry.value.entries(), place: entry.place)
        var parameters: [String: JobParameter] = [:]
        for parameter in try fields.entries("parameters") {
            guard VariableRules.isName(parameter.name) else {
                let shown = parameter.name.escapedForDisplay(limit: 40)
                throw InvalidSetting(
                    "\(parameter.place): '\(shown)' is no parameter: letters, digits and '_', no digit first"
                )
            }
            parameters[parameter.name] = try JobParameter(parameter)
        }
        func template(_ text: String, _ field: String) throws(InvalidSetting) -> JobTemplate {
            let template: JobTemplate
            do throws(JobTemplate.Problem) {
                template = try JobTemplate(text)
            } catch {
                throw fields.wrong(field, "'\(text.escapedForDisplay(limit: 60))' has \(error.text)")
            }
            for name in template.parameters {
                guard let parameter = parameters[name] else {
                    throw fields.wrong(field, "'{\(name.escapedForDisplay(limit: 40))}' is none of its parameters")
                }
                guard !parameter.isFlag || template.parts.count == 1 else {
                    throw fields.wrong(field, "the flag '{\(name)}' has to be a word of its own")
                }
            }
            guard !text.utf8.contains(0) else { throw fields.wrong(field, "contains a NUL byte") }
            return template
        }
        func templates(_ field: String) throws(InvalidSetting) -> [JobTemplate]? {
            guard let words = try fields.texts(field) else { return nil }
            let templates = try words.map { text throws(InvalidSetting) in try template(text, field) }
            guard let program = templates.first, !program.parts.isEmpty else {
                throw fields.wrong(field, "is missing: a list of the program and its arguments")
            }
            guard program.parameters.isEmpty else {
                throw fields.wrong(field, "the program itself cannot be a parameter")
            }
            return templates
        }
        guard let words = try templates("command") else {
            throw fields.wrong("command", "is missing: a list of the program and its arguments")
        }
        command = words
        onInterrupt = try templates("on_interrupt") ?? []
        onEnd = try templates("on_end") ?? []
        hookLimit = try fields.duration("hook_limit") ?? RunHooks.defaultLimit
        guard hookLimit > .zero else { throw fields.wrong("hook_limit", "it must be longer than 0") }
        directory = try fields.text("directory")
        if let directory, !directory.hasPrefix("/") { throw fields.wrong("directory", "has to be an absolute path") }
        var environment: [String: JobTemplate] = [:]
        for variable in try fields.entries("environment") {
            guard VariableRules.isName(variable.name), let text = variable.value.text else {
                throw fields.wrong("environment", "takes names of variables, each with one value")
            }
            environment[variable.name] = try template(text, "environment")
        }
        allowedVariables = Set(try fields.texts("allow_environment") ?? [])
        for name in allowedVariables.sorted() {
            if let why = VariableRules.problem(allowing: name) { throw fields.wrong("allow_environment", why) }
        }
        try fields.expectNothingElse()
        (self.parameters, self.environment) = (parameters, environment)
    }
}
