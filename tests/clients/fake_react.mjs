// What React's hooks do for one component: they keep values, and run effects when they change.

let current = null;

/** Renders the component *render* with *props*, and again by `render`, until `unmount`. */
export function mount(render, ...props) {
  const component = { cells: [], effects: [], result: undefined };
  component.render = (...next) => {
    current = { component, index: 0 };
    component.result = render(...next);
    for (const effect of component.effects.filter(({ isDue }) => isDue)) {
      effect.cleanup?.();
      effect.cleanup = effect.run();
      effect.isDue = false;
    }
  };
  component.unmount = () => {
    for (const { cleanup } of component.effects) cleanup?.();
  };
  component.render(...props);
  return component;
}

function cell(create) {
  const { component } = current;
  const index = current.index++;
  component.cells[index] ??= create(component);
  return component.cells[index];
}

const differ = (one, other) => !one || one.some((value, index) => !Object.is(value, other[index]));

export const useRef = (initial) => cell(() => ({ current: initial }));

export function useMemo(compute, dependencies) {
  const memo = cell(() => ({}));
  if (differ(memo.dependencies, dependencies)) Object.assign(memo, { value: compute(), dependencies });
  return memo.value;
}

export function useEffect(run, dependencies) {
  const effect = cell((component) => {
    component.effects.push({});
    return component.effects.at(-1);
  });
  if (differ(effect.dependencies, dependencies)) Object.assign(effect, { isDue: true, run, dependencies });
}
