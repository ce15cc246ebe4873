using System.Reflection;
using System.Runtime.CompilerServices;
using System.Text;
using System.Xml.Linq;

namespace CudaSae.Bench.Reference;

/// <summary>One type of docs/reference/csharp.md.</summary>
static class CSharpType
{
    const BindingFlags Own =
        BindingFlags.Public | BindingFlags.Instance | BindingFlags.Static | BindingFlags.DeclaredOnly;

    /// <summary>Methods of records that the compiler makes, or that replace them.</summary>
    static readonly string[] OfRecords = ["Equals", "GetHashCode", "ToString", "Deconstruct", "<Clone>$"];

    /// <summary>Sentences about types that another page also describes.</summary>
    static readonly Dictionary<string, string> Elsewhere = new()
    {
        ["TrainConfig"] = "[Settings](settings.md) lists the range, the option and the resume rule of each property.",
        ["StepMetrics"] = "[Metrics](metrics.md) lists the names of these numbers in logs.",
    };

    public static string Text(XmlDocs docs, Type type)
    {
        var text = new StringBuilder($"### {CSharpNames.Name(type)}\n\n");
        var declaration = CSharpSignatures.Of(type);
        if (!type.IsNested) declaration = $"namespace {type.Namespace};\n{declaration}";
        text.Append(Markdown.Fence("csharp", declaration)).Append('\n').Append(Markdown.Wrap(docs.Summary(type)));
        if (Elsewhere.TryGetValue(type.Name, out var page)) text.Append('\n').Append(Markdown.Wrap(page));
        var positional = CSharpSignatures.Positional(type);
        if (positional is not null)
            text.Append('\n').Append(Parameters(positional.GetParameters(), docs.Parameters(type), type));
        foreach (var table in type.IsEnum ? [Values(docs, type)] : Members(docs, type, positional))
            text.Append('\n').Append(table);
        foreach (var call in Calls(type).GroupBy(call => call.Heading))
            text.Append($"\n#### {call.Key}\n").Append(Overloads(docs, [.. call.Select(one => one.Member)]));
        return text.ToString();
    }

    /// <summary>Constructors, methods and indexers of a type in the order of its code, with their headings.</summary>
    public static IEnumerable<(string Heading, MemberInfo Member)> Calls(Type type)
    {
        if (type.IsEnum) return [];
        var name = CSharpNames.Name(type);
        var made = CSharpSignatures.IsRecord(type) ? [] : type.GetConstructors()
            .Select(one => ($"new {name}", (MemberInfo)one));
        var indexers = type.GetProperties(Own).Where(one => one.GetIndexParameters().Length > 0)
            .Select(one => ($"{name}[{one.GetIndexParameters()[0].Name}]", (MemberInfo)one));
        var methods = type.GetMethods(Own)
            .Where(one => !one.IsSpecialName && !(CSharpSignatures.IsRecord(type) && OfRecords.Contains(one.Name)))
            .OrderBy(one => one.MetadataToken).Select(one => ($"{name}.{one.Name}", (MemberInfo)one));
        return [.. made, .. indexers, .. methods];
    }

    /// <summary>The overloads of a method. Those that share their documentation share one entry.</summary>
    static string Overloads(XmlDocs docs, MemberInfo[] overloads)
    {
        var text = new StringBuilder();
        foreach (var entry in overloads.GroupBy(one => docs.InheritedFrom(one) ?? XmlDocs.Id(one)))
        {
            text.Append('\n').Append(Markdown.Fence("csharp", string.Join('\n', entry.Select(one => one switch
            {
                PropertyInfo indexer => CSharpSignatures.Of(indexer),
                _ => CSharpSignatures.Of((MethodBase)one),
            }))));
            // A primary constructor has the summary of its type.
            var first = entry.First();
            if (docs.Summary(first) is var summary && summary != docs.Summary(first.DeclaringType!))
                text.Append('\n').Append(Markdown.Wrap(summary));
            var parts = Parts(docs, [.. entry]);
            if (parts.Length > 0) text.Append('\n').Append(parts);
        }
        return text.ToString();
    }

    /// <summary>Parameters, the result and exceptions as a list.</summary>
    static string Parts(XmlDocs docs, MemberInfo[] overloads)
    {
        var first = overloads[0];
        var text = new StringBuilder(Parameters(
            first is PropertyInfo indexer ? indexer.GetIndexParameters() : ((MethodBase)first).GetParameters(),
            docs.Parameters(first), first));
        string Words(XElement element) => docs.Words(element, first.DeclaringType);
        if (docs.Of(first).Element("returns") is { } returns)
            text.Append(Markdown.Wrap($"Returns: {Words(returns)}", "- "));
        foreach (var refused in overloads.SelectMany(one => docs.Of(one).Elements("exception"))
            .Select(one => $"Throws `{docs.Name((string)one.Attribute("cref")!, null)}`: {Words(one)}").Distinct())
            text.Append(Markdown.Wrap(refused, "- "));
        return text.ToString();
    }

    /// <exception cref="SaeException">A parameter is not documented.</exception>
    static string Parameters(ParameterInfo[] parameters, Dictionary<string, string> described, MemberInfo of) =>
        string.Concat(parameters.Select(parameter => Markdown.Wrap($"`{parameter.Name}`: "
            + (described.GetValueOrDefault(parameter.Name!) ?? throw new SaeException(
                $"the parameter {parameter.Name} of {XmlDocs.Id(of)} is not described in the XML documentation")),
            "- ")));

    /// <summary>Constants and properties as a table. The properties of a positional record are its
    /// parameters.</summary>
    static IEnumerable<string> Members(XmlDocs docs, Type type, ConstructorInfo? positional)
    {
        var parameters = positional?.GetParameters().Select(parameter => parameter.Name).ToArray() ?? [];
        var initial = Initial(type);
        string[][] rows =
        [
            .. type.GetFields(Own).Select(one => (string[])[$"`{CSharpSignatures.Of(one)}`", docs.Summary(one)]),
            .. type.GetProperties(Own).Where(one => one.GetIndexParameters().Length == 0
                    && !parameters.Contains(one.Name))
                .OrderBy(one => one.MetadataToken).Select(one => (string[])
                    [$"`{CSharpSignatures.Of(one, initial(one))}`", docs.Summary(one)]),
        ];
        return rows.Length > 0 ? [ReferencePages.Table(["Member", "Meaning"], rows)] : [];
    }

    /// <summary>The value of a settable property in a new record, if the record initializes any of them. An abstract
    /// record takes it from a record that derives from it.</summary>
    static Func<PropertyInfo, string?> Initial(Type type)
    {
        var made = !CSharpSignatures.IsRecord(type) ? null : type.GetNestedTypes().Prepend(type)
            .Where(one => one.IsAssignableTo(type) && !one.IsAbstract).Select(one => one.GetConstructor([]))
            .FirstOrDefault(constructor => constructor is not null)?.Invoke([]);
        bool IsSet(PropertyInfo property) =>
            property.SetMethod is { IsPublic: true } && !property.IsDefined(typeof(RequiredMemberAttribute));
        bool IsInitialized(PropertyInfo property) => IsSet(property) && property.PropertyType is var of
            && !Equals(property.GetValue(made), of.IsValueType ? Activator.CreateInstance(of) : null);
        return made is null || !type.GetProperties(Own).Any(IsInitialized) ? _ => null
            : property => IsSet(property) && property.GetValue(made) is { } value
                ? CSharpNames.Value(value, property.PropertyType) : null;
    }

    static string Values(XmlDocs docs, Type type) => ReferencePages.Table(["Value", "Meaning"],
        type.GetFields(BindingFlags.Public | BindingFlags.Static).Select(value => (string[])
            [$"`{value.Name} = {value.GetRawConstantValue()}`", docs.Summary(value)]));
}
