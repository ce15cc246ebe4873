using System.Reflection;
using System.Xml.Linq;

namespace CudaSae.Bench.Reference;

/// <summary>The XML documentation of an assembly.</summary>
sealed class XmlDocs(XDocument document)
{
    readonly Dictionary<string, XElement> members = document.Descendants("member")
        .ToDictionary(member => (string)member.Attribute("name")!);

    /// <summary>The documentation of the engine.</summary>
    public static XmlDocs OfEngine() => new(XDocument.Load(Path.Combine(AppContext.BaseDirectory, "CudaSae.xml")));

    /// <summary>The documentation of a type or a member. Inherited documentation precedes that of the member. A
    /// constructor that the compiler makes has that of its type.</summary>
    /// <exception cref="SaeException">The member has no summary.</exception>
    public XElement Of(MemberInfo member)
    {
        var element = members.GetValueOrDefault(Id(member));
        if (element is null && member is ConstructorInfo made && made.GetParameters().Length == 0)
            return Of(made.DeclaringType!);
        if (InheritedFrom(member) is { } other)
            element = new(element!.Name, members[other].Elements(),
                element.Elements().Where(part => part.Name != "inheritdoc"));
        return element?.Element("summary") is not null ? element
            : throw new SaeException($"{Id(member)} has no summary in the XML documentation");
    }

    /// <summary>Returns the identifier of the member from which a member inherits its documentation; null if it has its
    /// own.</summary>
    public string? InheritedFrom(MemberInfo member) =>
        (string?)members.GetValueOrDefault(Id(member))?.Element("inheritdoc")?.Attribute("cref");

    public string Summary(MemberInfo member) => Words(Of(member).Element("summary")!, TypeOf(member));

    /// <summary>Descriptions of parameters, by name.</summary>
    public Dictionary<string, string> Parameters(MemberInfo member) => Of(member).Elements("param")
        .ToDictionary(param => (string)param.Attribute("name")!, param => Words(param, TypeOf(member)));

    /// <summary>The text of a documentation element on one line. References and code are code spans, and names of pages
    /// are links.</summary>
    /// <param name="element">The element.</param>
    /// <param name="within">References to members of this type leave out its name.</param>
    public string Words(XElement element, Type? within = null) => Markdown.WithLinks(string.Join(' ', string.Concat(
        element.Nodes().Select(node => node switch
        {
            XElement { Name.LocalName: "see" } see => $"`{Name((string)see.Attribute("cref")!, within)}`",
            XElement { Name.LocalName: "paramref" } parameter => $"`{(string)parameter.Attribute("name")!}`",
            XElement { Name.LocalName: "c" } code => $"`{code.Value}`",
            XElement other => other.Value,
            XText text => text.Value,
            _ => "",
        })).Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries)));

    /// <summary>A reference as code names it: without namespace, and without its type within that type.</summary>
    public string Name(string reference, Type? within)
    {
        var names = reference[2..].Split('(')[0].Split('.');
        var type = reference[0] == 'T' ? names.Length : names.Length - 1;
        var first = type - 1;
        while (first > 0 && members.ContainsKey($"T:{string.Join('.', names[..first])}")) first--;
        if (type < names.Length && within is not null && string.Join('.', names[..type]) == Id(within)[2..])
            first = type;
        return string.Join('.', names[Math.Max(0, first)..]);
    }

    /// <summary>The identifier of a type or a member in the XML documentation.</summary>
    public static string Id(MemberInfo member) => member switch
    {
        Type type => $"T:{IdOf(type)}",
        ConstructorInfo made => $"M:{IdOf(made.DeclaringType!)}.#ctor{Parameters(made.GetParameters())}",
        MethodInfo method => $"M:{IdOf(method.DeclaringType!)}.{method.Name}{Parameters(method.GetParameters())}",
        PropertyInfo property =>
            $"P:{IdOf(property.DeclaringType!)}.{property.Name}{Parameters(property.GetIndexParameters())}",
        FieldInfo field => $"F:{IdOf(field.DeclaringType!)}.{field.Name}",
        _ => throw new ArgumentException($"{member} is a {member.MemberType}"),
    };

    static string Parameters(ParameterInfo[] parameters) => parameters.Length == 0 ? ""
        : $"({string.Join(',', parameters.Select(parameter => IdOf(parameter.ParameterType)))})";

    static string IdOf(Type type) =>
        type.IsArray ? $"{IdOf(type.GetElementType()!)}[]"
        : type.IsPointer ? $"{IdOf(type.GetElementType()!)}*"
        : type.IsGenericType ? $"{type.Namespace}.{type.Name.Split('`')[0]}"
            + $"{{{string.Join(',', type.GetGenericArguments().Select(IdOf))}}}"
        : type.FullName!.Replace('+', '.');

    static Type TypeOf(MemberInfo member) => member as Type ?? member.DeclaringType!;
}
