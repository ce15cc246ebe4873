using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using System.Text.Json.Serialization;
using System.Text.Json.Serialization.Metadata;

namespace CudaSae.Text;

/// <summary>Whether a JSON value has the form of a record, by the metadata that its generated code has: unknown,
/// missing and doubled fields, null, and every leaf's form.</summary>
static class JsonShape
{
    /// <summary>What does not fit, as "path = value: it must be …"; null where all does. Ranges are not looked
    /// at.</summary>
    public static string? Fault(JsonElement value, JsonTypeInfo type, string at = "")
    {
        if (Nullable.GetUnderlyingType(type.Type) is { } inner) return value.ValueKind == JsonValueKind.Null ? null
            : Leaf(value, inner, at);
        return type.Kind switch
        {
            JsonTypeInfoKind.Object => Object(value, type, at),
            JsonTypeInfoKind.Enumerable => Items(value, type, at),
            _ => Leaf(value, type.Type, at),
        };
    }

    static string? Object(JsonElement value, JsonTypeInfo type, string at)
    {
        if (value.ValueKind != JsonValueKind.Object) return Bad(value, at, "an object in braces");
        string? discriminator = null;
        if (type.PolymorphismOptions is { } kinds)
        {
            discriminator = kinds.TypeDiscriminatorPropertyName;
            string[] names = [.. kinds.DerivedTypes.Select(d => (string)d.TypeDiscriminator!)];
            if (!value.TryGetProperty(discriminator,
                out var kind)) return $"{Path(at, discriminator)} is missing: it must be one of "
                + $"{string.Join(", ", names)}";
            var chosen = kind.ValueKind == JsonValueKind.String ? Array.IndexOf(names, kind.GetString()) : -1;
            if (chosen < 0) return Bad(kind, Path(at, discriminator), $"one of {string.Join(", ", names)}")
                + (kind.ValueKind == JsonValueKind.String ? Names.Hint(kind.GetString()!, names) : "");
            type = type.Options.GetTypeInfo(kinds.DerivedTypes[chosen].DerivedType);
        }
        var seen = new HashSet<string>();
        foreach (var field in value.EnumerateObject())
        {
            var name = field.Name;
            var property = type.Properties.FirstOrDefault(p => p.Name == name);
            if ((property is not null || name == discriminator)
                && !seen.Add(name)) return $"{Path(at, name)} is there twice";
            if (property is not null
                && Field(field.Value, property, type.Options, Path(at, name)) is { } fault) return fault;
            if (property is null && name != discriminator
                && (type.UnmappedMemberHandling
                ?? type.Options.UnmappedMemberHandling) == JsonUnmappedMemberHandling.Disallow)
                return $"{Path(at, name)}: there is no such "
                    + $"field{Names.Hint(name, type.Properties.Select(p => p.Name))}";
        }
        var missing = type.Properties.Where(p => MustBeThere(p, type) && !value.TryGetProperty(p.Name, out _))
            .Select(p => Path(at, p.Name)).ToArray();
        return missing.Length > 0 ? $"{string.Join(", ", missing)} {(missing.Length > 1 ? "are" : "is")} missing"
            : null;
    }

    /// <summary>Whether a field may not be absent. Generated code gives an absent init-only field its type's default,
    /// not its initializer: in a spec or a config that must be the standard value. Fields with setters keep
    /// theirs.</summary>
    static bool MustBeThere(JsonPropertyInfo property, JsonTypeInfo of) => property.IsRequired
        || property.AssociatedParameter switch
        {
            null or { HasDefaultValue: true } => false,
            { IsMemberInitializer: true } =>
                (of.Options.TypeInfoResolver as IRecordDefaults)?.DefaultOf(of.Type) is { } standard
                && property.Get?.Invoke(standard) is IConvertible number and not string
                && number.ToDouble(CultureInfo.InvariantCulture) != 0,
            _ => true,
        };

    static string? Field(JsonElement value, JsonPropertyInfo property, JsonSerializerOptions options, string at)
    {
        if (property.CustomConverter is not null) return null;      // has a form of its own
        var type = options.GetTypeInfo(property.PropertyType);
        if (value.ValueKind != JsonValueKind.Null) return Fault(value, type, at);
        var nullable = property.AssociatedParameter?.IsNullable ?? property.IsSetNullable;
        return nullable ? null : Bad(value, at, FormOf(type));
    }

    static string? Items(JsonElement value, JsonTypeInfo type, string at)
    {
        if (value.ValueKind != JsonValueKind.Array) return Bad(value, at, "a list in brackets");
        var (of, index) = (type.Options.GetTypeInfo(type.Type.GetElementType() ?? type.ElementType!), 0);
        foreach (var item in value.EnumerateArray())
        {
            if (Fault(item, of) is not null) return Fault(item, of, $"{at}[{index}]");
            index++;
        }
        return null;
    }

    static string? Leaf(JsonElement value, Type type, string at)
    {
        if (type.IsAssignableTo(typeof(JsonNode))) return type == typeof(JsonObject)
            && value.ValueKind != JsonValueKind.Object ? Bad(value, at, "an object in braces") : Doubled(value, at);
        var (number, text) = (value.ValueKind == JsonValueKind.Number, value.ValueKind == JsonValueKind.String
            ? value.GetString() : null);
        var good = Type.GetTypeCode(type) switch
        {
            _ when type.IsEnum => text is not null && EnumNames.Read(type, text) is not null,
            TypeCode.String => text is not null,
            TypeCode.Boolean => value.ValueKind is JsonValueKind.True or JsonValueKind.False,
            TypeCode.Int32 => number && value.TryGetInt32(out _),
            TypeCode.Int64 => number && value.TryGetInt64(out _),
            TypeCode.UInt64 => number && value.TryGetUInt64(out _),
            TypeCode.Single => number ? value.TryGetSingle(out var single) && float.IsFinite(single)
                : IsNamedFloat(text),
            TypeCode.Double => number ? value.TryGetDouble(out var wide) && double.IsFinite(wide) : IsNamedFloat(text),
            _ => type != typeof(byte[]) || value.ValueKind == JsonValueKind.String,
        };
        return good ? null : Bad(value, at, Form(type))
            + (type.IsEnum && text is not null ? Names.Hint(text, Enum.GetNames(type)) : "");
    }

    static bool IsNamedFloat(string? text) => text is "NaN" or "Infinity" or "-Infinity";

    static string FormOf(JsonTypeInfo type) =>
        type.Kind switch
        {
            JsonTypeInfoKind.Object => "an object in braces",
            JsonTypeInfoKind.Enumerable =>
        "a list in brackets",
            _ => Form(type.Type)
        };

    static string Form(Type type) => Type.GetTypeCode(type) switch
    {
        _ when type.IsEnum => EnumNames.Forms(type),
        TypeCode.String => "a text in quotes",
        TypeCode.Boolean => "true or false",
        TypeCode.Int32 => Whole(int.MinValue, int.MaxValue),
        TypeCode.Int64 => Whole(long.MinValue, long.MaxValue),
        TypeCode.UInt64 => Whole(ulong.MinValue, ulong.MaxValue),
        TypeCode.Single or TypeCode.Double => "a number",
        _ => type == typeof(byte[]) ? "bytes in base64" : "an object in braces",
    };

    static string Whole(IFormattable least, IFormattable most) =>
        string.Create(CultureInfo.InvariantCulture, $"a whole number from {least} to {most}");

    /// <summary>A field that an object, or one within it, has twice.</summary>
    static string? Doubled(JsonElement value, string at)
    {
        if (value.ValueKind == JsonValueKind.Array) return value.EnumerateArray()
            .Select((item, i) => Doubled(item, $"{at}[{i}]")).FirstOrDefault(fault => fault is not null);
        if (value.ValueKind != JsonValueKind.Object) return null;
        var names = new HashSet<string>();
        foreach (var field in value.EnumerateObject())
        {
            if (!names.Add(field.Name)) return $"{Path(at, field.Name)} is there twice";
            if (Doubled(field.Value, Path(at, field.Name)) is { } fault) return fault;
        }
        return null;
    }

    static string Path(string at, string name) => (at.Length == 0 ? "" : at + ".")
        + (name.Length > Shown ? name[..Shown] + "…" : name);

    const int Shown = 60;

    static string Bad(JsonElement value, string at, string form)
    {
        var text = value.ValueKind is JsonValueKind.Object or JsonValueKind.Array
            ? (value.ValueKind == JsonValueKind.Object ? "{…}" : "[…]") : value.GetRawText();
        return $"{(at.Length == 0 ? "it" : at)} = {(text.Length > Shown ? text[..Shown] + "…" : text)}: it must be "
            + $"{form}";
    }
}
