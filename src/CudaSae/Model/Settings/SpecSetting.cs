namespace CudaSae.Model;

/// <summary>One field of <see cref="SaeSpec"/> or of a record in it. A run cannot change any of them when it is
/// resumed.</summary>
abstract class SpecSetting<TRecord> : Setting
{
    /// <param name="help">Meaning, as the help of its option states it; empty where no command has an option for
    /// it.</param>
    protected SpecSetting(string property, string help) : base(property, help) => HasOption = help.Length > 0;

    /// <summary>Refuses a value out of range.</summary>
    /// <param name="prefix">What stands before the property's name in a message.</param>
    /// <exception cref="SaeException">Names the setting, its value and its range.</exception>
    public abstract void Check(TRecord record, string prefix);
}

/// <summary>A field of one type.</summary>
/// <param name="get">Reads it.</param>
sealed class SpecSetting<TRecord, T>(string property, Func<TRecord, T> get, string help = "")
    : SpecSetting<TRecord>(property, help)
{
    public T Get(TRecord record) => get(record);

    /// <summary>The range of a number; null where every value of the type is taken.</summary>
    public SettingRange<T>? Values { get; init; }

    public override string Range => SettingRange.Words(Values);

    public override void Check(TRecord record, string prefix) =>
        SettingRange.Check(prefix + Property, get(record), Values);
}
