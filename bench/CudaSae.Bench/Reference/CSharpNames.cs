using System.Globalization;
using System.Reflection;
using System.Runtime.CompilerServices;
using System.Text.RegularExpressions;

namespace CudaSae.Bench.Reference;

/// <summary>Types and constants as C# code writes them.</summary>
static partial class CSharpNames
{
    static readonly Dictionary<Type, string> Keywords = new()
    {
        [typeof(void)] = "void",
        [typeof(bool)] = "bool",
        [typeof(byte)] = "byte",
        [typeof(int)] = "int",
        [typeof(long)] = "long",
        [typeof(ulong)] = "ulong",
        [typeof(nint)] = "nint",
        [typeof(float)] = "float",
        [typeof(double)] = "double",
        [typeof(string)] = "string",
        [typeof(object)] = "object",
    };

    /// <summary>The type of a parameter or of a returned value.</summary>
    public static string TypeOf(ParameterInfo parameter) =>
        Name(parameter.ParameterType, new NullabilityInfoContext().Create(parameter), TupleNames(parameter));

    public static string TypeOf(PropertyInfo property) =>
        Name(property.PropertyType, new NullabilityInfoContext().Create(property), TupleNames(property));

    /// <summary>A type without its nullability. A nested type follows its outer types.</summary>
    public static string Name(Type type) => Name(type, null, new());

    static string Name(Type type, NullabilityInfo? info, Queue<string?> tupleNames)
    {
        if (Nullable.GetUnderlyingType(type) is { } value) return $"{Name(value, null, tupleNames)}?";
        if (type.IsPointer) return $"{Name(type.GetElementType()!, null, tupleNames)}*";
        var name =
            type.IsArray ? $"{Name(type.GetElementType()!, info?.ElementType, tupleNames)}[]"
            : Keywords.TryGetValue(type, out var keyword) ? keyword
            : type.IsGenericType ? Generic(type, info, tupleNames)
            : type.IsNested ? $"{Name(type.DeclaringType!)}.{type.Name}" : type.Name;
        return info?.ReadState == NullabilityState.Nullable && !type.IsValueType ? $"{name}?" : name;
    }

    static string Generic(Type type, NullabilityInfo? info, Queue<string?> tupleNames)
    {
        var arguments = type.GetGenericArguments();
        var isTuple = type.IsAssignableTo(typeof(ITuple));
        // The names of a tuple precede those of the tuples in it.
        var names = arguments.Select(_ => isTuple && tupleNames.Count > 0 ? tupleNames.Dequeue() : null).ToArray();
        var list = string.Join(", ", arguments.Select((argument, i) =>
            $"{Name(argument, info?.GenericTypeArguments.ElementAtOrDefault(i), tupleNames)} {names[i]}".TrimEnd()));
        return isTuple ? $"({list})" : $"{type.Name.Split('`')[0]}<{list}>";
    }

    static Queue<string?> TupleNames(ICustomAttributeProvider provider) =>
        new(provider.GetCustomAttributes(typeof(TupleElementNamesAttribute), false)
            .Cast<TupleElementNamesAttribute>().FirstOrDefault()?.TransformNames ?? []);

    /// <summary>A constant. Whole numbers from 10,000 on have digits in groups of three.</summary>
    public static string Value(object? value, Type type)
    {
        type = Nullable.GetUnderlyingType(type) ?? type;
        return value switch
        {
            null => type.IsValueType && Keywords.ContainsKey(type) ? "0" : "null",
            _ when type.IsEnum => EnumValue(Enum.ToObject(type, value)),
            bool truth => truth ? "true" : "false",
            string text => $"\"{text}\"",
            float number => Real(number) + (float.IsInteger(number) ? "" : "f"),
            double number => Real(number),
            IFormattable number => Whole(number),
            _ => throw new SaeException($"a value of {value.GetType()} has no form in C#"),
        };
    }

    static string EnumValue(object value) => string.Join(" | ", $"{value}".Split(", ")
        .Select(name => $"{Name(value.GetType())}.{name}"));

    static string Real(IFormattable number) =>
        Exponent().Replace(number.ToString("R", CultureInfo.InvariantCulture), "e$1");

    static string Whole(IFormattable number)
    {
        var digits = number.ToString(null, CultureInfo.InvariantCulture);
        return digits.TrimStart('-').Length < 5 ? digits
            : number.ToString("#,0", CultureInfo.InvariantCulture).Replace(',', '_');
    }

    [GeneratedRegex(@"E\+?(-?)0*")]
    private static partial Regex Exponent();
}
