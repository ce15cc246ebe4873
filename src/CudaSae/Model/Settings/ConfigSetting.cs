namespace CudaSae.Model;

/// <summary>One field of <see cref="TrainConfig"/>.</summary>
abstract class ConfigSetting(string property, string help) : Setting(property, help)
{
    /// <summary>Whether it may change when a run is resumed.</summary>
    public required ResumeRule Resume { get; init; }

    /// <summary>Refuses a value out of range.</summary>
    /// <exception cref="SaeException">Names the setting, its value and its range.</exception>
    public abstract void Check(TrainConfig config);

    public abstract TResult Accept<TResult>(ISettingVisitor<TResult> visitor);
}

/// <summary>Work that depends on the type of a setting's value.</summary>
interface ISettingVisitor<out TResult>
{
    TResult Visit<T>(ConfigSetting<T> setting);
}

/// <summary>A field of <see cref="TrainConfig"/> of one type.</summary>
/// <param name="get">Reads it.</param>
/// <param name="with">The same config with another value.</param>
sealed class ConfigSetting<T>(string property, Func<TrainConfig, T> get, Func<TrainConfig, T, TrainConfig> with,
    string help) : ConfigSetting(property, help)
{
    public T Get(TrainConfig config) => get(config);

    public TrainConfig With(TrainConfig config, T value) => with(config, value);

    /// <summary>The range of a number; null where every value of the type is taken.</summary>
    public SettingRange<T>? Values { get; init; }

    public override string Range => SettingRange.Words(Values);

    public override void Check(TrainConfig config) => SettingRange.Check(Property, get(config), Values);

    public override TResult Accept<TResult>(ISettingVisitor<TResult> visitor) => visitor.Visit(this);
}
