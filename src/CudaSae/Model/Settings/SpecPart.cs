namespace CudaSae.Model;

/// <summary>One record of a spec and its fields: the spec itself, a record in it, or one kind of such a
/// record.</summary>
/// <param name="record">Type of the record.</param>
/// <param name="path">Path of the record in train.json, in snake_case; empty for the spec itself.</param>
/// <param name="title">Title in the reference; the kind, as train.json names it, if the record is one of several
/// kinds.</param>
abstract class SpecPart(Type record, string path, string title)
{
    public Type Record => record;

    public string Path => path;

    public string Title => title;

    /// <summary>Whether the record is one of several kinds that a field of the spec can hold.</summary>
    public bool IsKind { get; init; }

    /// <summary>What stands before the name of a property in a message.</summary>
    public string Prefix { get; init; } = "";

    public abstract IEnumerable<Setting> Settings { get; }

    /// <summary>The path of one of the settings, as --set and edits take it.</summary>
    public string PathOf(Setting setting) => path.Length > 0 ? $"{path}.{setting.Field}" : setting.Field;

    /// <summary>Refuses the first field out of range if the spec has this part.</summary>
    /// <exception cref="SaeException">Names the field, its value and its range.</exception>
    public abstract void Check(SaeSpec spec);
}

/// <summary>A part with the type of its record.</summary>
/// <param name="find">Returns the record of a spec; null if the spec has none.</param>
sealed class SpecPart<TRecord>(string path, string title, Func<SaeSpec, TRecord?> find,
    params SpecSetting<TRecord>[] settings) : SpecPart(typeof(TRecord), path, title) where TRecord : class
{
    public override IEnumerable<Setting> Settings => settings;

    public override void Check(SaeSpec spec)
    {
        if (find(spec) is not { } record) return;
        foreach (var setting in settings) setting.Check(record, Prefix);
    }
}
