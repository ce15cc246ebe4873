using System.Reflection;
using System.Runtime.CompilerServices;

namespace CudaSae.Bench.Reference;

/// <summary>Declarations of public types and members, as a user of them would write them.</summary>
static class CSharpSignatures
{
    /// <summary>The declaration of a type: with the parameters of a positional record, its base and
    /// IDisposable.</summary>
    public static string Of(Type type)
    {
        var kind = type.IsEnum ? "enum" : type.IsInterface ? "interface" : IsRecord(type) ? "record" : "class";
        var how = kind is "enum" or "interface" ? ""
            : type is { IsAbstract: true, IsSealed: true } ? "static "
            : type.IsAbstract ? "abstract " : type.IsSealed ? "sealed " : "";
        var parameters = Positional(type) is { } made ? $"({List(made.GetParameters())})" : "";
        var bases = new[] { type.BaseType }.Where(b => b is not null && b != typeof(object) && !type.IsEnum)
            .Concat(type.GetInterfaces().Where(one => one == typeof(IDisposable)))
            .Select(b => CSharpNames.Name(b!)).ToArray();
        return Lines($"public {how}{kind} {type.Name}{parameters}"
            + (bases.Length > 0 ? $" : {string.Join(", ", bases)}" : ""));
    }

    public static string Of(MethodBase method) => Lines(method is MethodInfo { } one
        ? $"{Static(method)}{CSharpNames.TypeOf(one.ReturnParameter)} {method.Name}({List(method.GetParameters())})"
        : $"{method.DeclaringType!.Name}({List(method.GetParameters())})");

    /// <summary>The declaration of a property or an indexer.</summary>
    /// <param name="property">The property.</param>
    /// <param name="initial">Its value in a new object; null for one that the declaration does not name.</param>
    public static string Of(PropertyInfo property, string? initial = null)
    {
        var name = property.GetIndexParameters() is { Length: > 0 } index ? $"this[{List(index)}]" : property.Name;
        var set = property.SetMethod is not { IsPublic: true } setter ? ""
            : setter.ReturnParameter.GetRequiredCustomModifiers().Contains(typeof(IsExternalInit)) ? " init;" : " set;";
        var required = property.IsDefined(typeof(RequiredMemberAttribute)) ? "required " : "";
        return $"{Static(property.GetMethod!)}{required}{CSharpNames.TypeOf(property)} {name} {{ get;{set} }}"
            + (initial is null ? "" : $" = {initial};");
    }

    public static string Of(FieldInfo constant) => constant.IsLiteral
        ? $"const {CSharpNames.Name(constant.FieldType)} {constant.Name} = "
            + CSharpNames.Value(constant.GetRawConstantValue(), constant.FieldType)
        : throw new SaeException($"{constant.DeclaringType}.{constant.Name} is a field, but not a constant");

    public static bool IsRecord(Type type) => type.GetMethod("<Clone>$") is not null;

    /// <summary>Returns the constructor of a record that declares its properties as parameters; null if there is
    /// none.</summary>
    public static ConstructorInfo? Positional(Type type) => !IsRecord(type) ? null
        : type.GetConstructors().FirstOrDefault(made => made.GetParameters() is { Length: > 0 } parameters
            && parameters.All(parameter => type.GetProperty(parameter.Name!) is not null));

    static string Static(MethodBase method) => method.IsStatic ? "static " : "";

    static string List(ParameterInfo[] parameters) => string.Join(", ", parameters.Select(parameter =>
        $"{CSharpNames.TypeOf(parameter)} {parameter.Name}" + (parameter.HasDefaultValue
            ? $" = {CSharpNames.Value(parameter.RawDefaultValue, parameter.ParameterType)}" : "")));

    /// <summary>Divides a long declaration at its commas.</summary>
    static string Lines(string declaration)
    {
        var (lines, line) = ("", "");
        foreach (var part in declaration.Split(", ").Select((part, i) => i == 0 ? part : $", {part}"))
        {
            if (line.Length > 0 && line.Length + part.Length >= Markdown.CodeWidth)
            {
                lines += $"{line},\n";
                line = $"    {part[2..]}";
            }
            else line += part;
        }
        return lines + line;
    }
}
