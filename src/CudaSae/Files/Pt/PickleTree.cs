using System.Globalization;
using System.Numerics;

namespace CudaSae.Files.Pt;

/// <summary>Flattens a pickled object: tensors and other leaves under their keys joined by dots
/// ("activation_state_dict.k"), elements of lists and tuples under their places.</summary>
sealed class PickleTree(PickleBudget budget, Func<string, SaeException> bad)
{
    const int Entry = 160;      // bytes of an entry of a dictionary and of its objects

    public Dictionary<string, PickleTensor> Tensors { get; } = [];

    /// <summary>Numbers, strings, torch's types and devices as invariant text; None is left out.</summary>
    public Dictionary<string, string> Texts { get; } = [];

    /// <param name="name">Of the object; empty for the whole.</param>
    public void Add(string name, object? value, int depth = 0)
    {
        if (depth > PickleReader.MaxDepth)
            throw bad($"its pickle is nested deeper than {PickleReader.MaxDepth}, or holds itself");
        switch (value)
        {
            case PickleDict dict:
                foreach (var (key, item) in dict.Items) Add(Join(name, Key(key)), item, depth + 1);
                break;
            case PickleList list: AddItems(name, list.Items, depth + 1); break;
            case PickleTuple tuple: AddItems(name, tuple.Items, depth + 1); break;
            case null: break;
            default:
                AddLeaf(name.Length > 0 ? name : value is PickleTensor ? PtFile.BareTensorName : "value", value); break;
        }
    }

    void AddItems(string name, IReadOnlyList<object?> items, int depth)
    {
        for (var i = 0; i < items.Count; i++)
            Add(Join(name, i.ToString(CultureInfo.InvariantCulture)), items[i], depth);
    }

    string Key(object? key) => key switch
    {
        string text when text.Length <= TensorFile.MaxNameLength && !text.Any(char.IsControl) => text,
        string text => throw bad($"its key '{TensorFile.Shown(text)}' is too long or has control characters"),
        long whole => whole.ToString(CultureInfo.InvariantCulture),
        _ => throw bad("it holds a dict whose keys are neither strings nor integers"),
    };

    string Join(string name, string key)
    {
        budget.Charge(Entry + 2L * (name.Length + key.Length));
        var joined = name.Length == 0 ? key : $"{name}.{key}";
        return joined.Length <= TensorFile.MaxNameLength ? joined
            : throw bad($"the name '{TensorFile.Shown(joined)}' is longer than {TensorFile.MaxNameLength}");
    }

    void AddLeaf(string name, object value)
    {
        var added = value is PickleTensor tensor ? !Texts.ContainsKey(name) && Tensors.TryAdd(name, tensor)
            : !Tensors.ContainsKey(name) && Texts.TryAdd(name, Text(name, value));
        if (!added) throw bad($"two of its values are named {name}");
    }

    string Text(string name, object value)
    {
        budget.Charge(Entry + (value is BigInteger ? 1024 : 0));
        return value switch
        {
            string text => text,
            bool or long or double or BigInteger => Convert.ToString(value, CultureInfo.InvariantCulture)!,
            PickleGlobal global when PickleGlobals.IsType(global) => global.Name,
            byte[] => throw bad($"its {name} is a bytes object, which has no place beside tensors"),
            _ => throw bad($"its {name} is no tensor, number or string"),
        };
    }
}
