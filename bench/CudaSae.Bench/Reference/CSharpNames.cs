using System.Globalization;
using System.Reflection;
using System.Runtime.CompilerServices;

namespace CudaSae.Bench.Reference;

/// <summary>Types and constants as C# code writes them.</summary>
static class CSharpNames
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
        if (value is null)
            return !type.IsValueType || Nullable.GetUnderlyingType(type) is not null ? "null"
                : Keywords.ContainsKey(type) ? "0" : "default";
        return value switch
        {
            _ when (Nullable.GetUnderlyingType(type) ?? type) is { IsEnum: true } named =>
                EnumValue(Enum.ToObject(named, value)),
            bool truth => truth ? "true" : "false",
            string text => $"\"{text}\"",
            float number => Float(Real(number)),
            double number => Real(number),
            IFormattable number => Whole(number),
            _ => throw new SaeException($"a value of {value.GetType()} has no form in C#"),
        };
    }

    static string EnumValue(object value) => string.Join(" | ", $"{value}".Split(", ")
        .Select(name => $"{Name(value.GetType())}.{name}"));

    static string Float(string digits) => digits.All(char.IsDigit) ? digits : $"{digits}f";

    static string Real(IFormattable number) =>
        Markdown.Exponents(number.ToString("R", CultureInfo.InvariantCulture));

    static string Whole(IFormattable number)
    {
        var digits = number.ToString(null, CultureInfo.InvariantCulture);
        return digits.TrimStart('-').Length < 5 ? digits
            : number.ToString("#,0", CultureInfo.InvariantCulture).Replace(',', '_');
    }
}
